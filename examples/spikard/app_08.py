"""The same web app for Spikard 0.8: python app_08.py (PORT=8080 for another port)."""

import os

import handlers
import serving
from spikard import ServerConfig, Spikard

PORT = int(os.environ.get("PORT", "8000"))

app = Spikard(ServerConfig(host="127.0.0.1", port=PORT))
handlers.add_to(app)

if __name__ == "__main__":
    serving.run(app, PORT)
