"""The commands of the command line, a module each: options in, an exit code out."""
