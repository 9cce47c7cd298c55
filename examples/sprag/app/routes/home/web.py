from sprag import Screen, hydrate

from .components import UploadCard
from .modules import UploadModule


class UploadScreen(Screen):
    modules = [UploadModule]

    def render(self, data):
        upload = self.module(UploadModule)
        upload.set_state(data)
        return hydrate(UploadCard, module=upload)
