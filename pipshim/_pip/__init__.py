"""The only importer of pip's internals: pip's types stay in here, pipshim's own go out."""
