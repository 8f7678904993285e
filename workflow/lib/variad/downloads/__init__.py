"""Downloads: files fetched so that an interruption costs nothing, checked before use, and unpacked without harm.

``sources.fetch_source`` gets an entry of ``catalogue.CATALOGUE``, ``fetching.fetch`` any address, ``recording`` files
whose publisher gives no hash, and ``extraction.extract`` unpacks an archive. Nothing is imported here: a job that only
unpacks does not load what talks to servers.
"""
