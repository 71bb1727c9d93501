"""What the functions and methods of Python, numpy and torch do to abstract values, as far as the rules need to know.

A module lists its functions by name: ``FUNCTIONS`` are called as such, ``OPERATIONS`` as functions or as methods.
"""
