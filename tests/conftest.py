"""Settings of every test."""

from hypothesis import settings

# a machine that is busy with other tests makes any example slow
settings.register_profile("variad", deadline=None)
settings.load_profile("variad")
