from sprag import page

from .server import UploadController
from .web import UploadScreen

home = page(
    path="/",
    controller=UploadController,
    screen=UploadScreen,
    mode="hybrid",
    metadata={"title": "Smaller pictures"},
)
