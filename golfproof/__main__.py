"""Lets ``python -m golfproof`` stand for the installed command."""

from golfproof.app import main

main()
