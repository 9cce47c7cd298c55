"""The web app for Spikard 0.17: python app.py, then docs/spikard.md tells what to ask of it.

It listens on http://127.0.0.1:8000, whatever a ServerConfig says: this Spikard hands none on to its server. For the
world outside, and for a second app on this machine, put a proxy in front or give it a network of its own.
"""

import handlers
import serving
from spikard import App

app = App()
handlers.add_to(app)

if __name__ == "__main__":
    serving.run(app, 8000)
