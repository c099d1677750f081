"""The op table, the scalar language, the dialects, their text form and the reference interpreter."""
