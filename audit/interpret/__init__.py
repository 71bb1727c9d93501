"""Walks a program as it would run, on abstract values, and notes what it does with the data, in order.

``interpreter.py`` holds the state of a walk. The language is read by ``statements.py``, ``branches.py``, ``loops.py``,
``definitions.py``, ``assignment.py``, ``expressions.py``, ``operators.py``, ``attributes.py`` and ``calls.py``. What
Python, numpy and torch do to values stands in ``library/``. ``heap.py`` has the objects that a program makes.
"""
