"""What the page asks of the server. Each answer is a job as it stands: {"accepted", "job", "queue", "message"}."""

from sprag import Controller, Field, Schema, action

from app.pictures import NotAPicture, keep


class UploadController(Controller):
    route = "/"

    def load(self):
        """Whoever comes back, to whichever server, sees the picture they sent last."""
        queue = self.queue("image_processing")
        job = queue.latest_job(session_id=self.request.session_id)
        if job is None:
            return {"job": None, "message": "Choose a picture."}
        return {"job": job, "message": job["message"]}

    @action(schema=Schema("upload_image", {}))
    def upload_image(self):
        sent = self.request.file("picture")
        if sent is None or not sent.filename:
            return {"accepted": False, "job": None, "message": "Choose a picture first."}
        try:
            file_path = keep(sent.read())
        except NotAPicture as exc:
            return {"accepted": False, "job": None, "message": str(exc)}
        item = {"file_path": file_path, "resize_to": (1200, 800)}
        return self.enqueue("image_processing", item, label=sent.filename)

    @action(name="job_status", schema=Schema("job_status", {"job_id": Field(str, required=True)}))
    def queue_status(self, job_id):
        return self.job_status("image_processing", job_id)

    @action(schema=Schema("cancel_job", {"job_id": Field(str, required=True)}))
    def cancel_job(self, job_id):
        return self.request_job_cancel("image_processing", job_id)
