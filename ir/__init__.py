"""The op table, the scalar language, the dialects, their text form, the reference interpreter."""
