"""
Maintenance operations: a file each. None is here yet; a company's own are found in a folder named in `syncer.toml` all
the same.
"""
