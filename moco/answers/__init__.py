"""The one answer parser: what a text answers (`parser.extract`), and when two answers are the same
(`parser.same`); beside it the reading of each kind of answer.
"""
