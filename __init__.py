"""stepc: a compiler for optimizer steps."""
