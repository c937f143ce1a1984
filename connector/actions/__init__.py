"""Response actions: moves, releases, submits and blocks what a caller asks for, within the caller's scope.

An action is a durable row before any request leaves, and every change of its state is stored together with an
audit event. ``service`` takes requests, ``executor`` performs them, ``reconcile`` finds out what became of a
request without an answer, ``http`` is the API for SOAR platforms. ``docs/actions.md`` describes it.
"""
