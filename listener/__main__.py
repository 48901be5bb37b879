"""`python -m listener` is `signlog`."""

from listener.cli.app import main

if __name__ == "__main__":
    main()
