"""What stands in for the stack: its names, by a finder of modules, and its Butler of before 2021.

Nothing here takes a name by itself; `forcedphot.lsst_names` does.
"""
