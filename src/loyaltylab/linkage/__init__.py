"""Linkage: which records are one person, and how sure that is.

`links` compares records and forms clusters, `identity` gives each person a number that stays,
`persons` says what is known of them, `devices` whose the anonymous visits are, and `erasure` and
`removal` forget who asks for it.
"""
