"""The app: session state, links, widgets and charts. Only pages import it."""
