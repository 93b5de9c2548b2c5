"""The race that `stepc demo` runs: a new optimizer against torch's AdamW on two small real tasks.

my_adamw.opt is the reader's optimizer; digits.py and characters.py are the tasks; race.py trains
and measures; plot.py draws. Nothing here is special to stepc but the class that is raced.
"""
