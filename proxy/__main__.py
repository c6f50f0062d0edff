"""`python -m proxy` is `sluice`."""

from proxy.cli.main import main

if __name__ == "__main__":
    main()
