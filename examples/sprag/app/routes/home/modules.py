"""What runs in the browser; SPRAG makes JavaScript of it."""

from sprag import Module


class UploadModule(Module):
    def __init__(self, screen=None, state=None):
        super().__init__(screen=screen, state=state or {"job": None, "message": "Choose a picture."})

    def on_start(self):
        self.delegate(self.element, "submit", "[data-role='upload']", self.on_upload)
        self.delegate(self.element, "click", "[data-role='cancel']", self.on_cancel)
        self.on_socket("sprag:queue.job.changed", self.on_job_update)

    def on_upload(self, event):
        event.prevent_default()
        self.upload_form("upload_image", event, self.on_sending).then(self.on_status)

    def on_sending(self, progress):
        percent = progress.get("percent", 0)
        self.set_state({"message": f"Sending... {percent}%"})

    def on_cancel(self, event):
        event.prevent_default()
        job = self.state.get("job") or {}
        self.call_action("cancel_job", {"job_id": job.get("id")}).then(self.on_status)

    def on_job_update(self, data):
        job = self.state.get("job") or {}
        if data.get("job_id") == job.get("id"):
            self.call_action("job_status", {"job_id": data.get("job_id")}).then(self.on_status)

    def on_status(self, result):
        told = result.value or {}
        self.set_state({"job": told.get("job"), "message": told.get("message")})
