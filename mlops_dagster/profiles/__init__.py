"""Mergeable profiles of tables: what a reference keeps of its rows so that later rows can be compared.

`tables` makes them, `columns` says what they hold, `reference` keeps them beside a model,
`answers` how good its answers were on rows that it had not seen.
"""
