"""
What every warehouse behind ODBC needs: connection strings, connecting, error classes, transactions, the outcome of a
lost commit. A backend (`warehouses/postgresql.py`, …) adds its types, how a set is passed, its lock and its catalogue.

pyodbc is imported when a connection is made: its wheels need the system's ODBC manager.
"""
