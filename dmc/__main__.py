"""`python -m dmc` is the `dmc` command."""

from dmc.cli.main import main

if __name__ == "__main__":
    main()
