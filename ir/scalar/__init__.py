"""The scalar language: what an element of a result is, printed and run in several ways."""
