"""Where things are kept: tables, tracking, registry, operations, records.

Each is one Protocol with one default behind it. The only modules that use deltalake, mlflow, sqlalchemy.
"""
