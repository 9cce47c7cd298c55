"""The queue. Beside the import nothing here differs from an application with SPRAG's own QueueService."""

from app.pictures import NotAPicture, load_image, preview, resize, save
from jobsworth import GiveUp, Retry
from jobsworth.integrations.sprag import QueueService


class ImageQueue(QueueService):
    name = "image_processing"
    worker_count = 4
    queue_options = {"retry": Retry(max_attempts=3), "timeout": 60}  # what Jobsworth offers besides

    def handle_item(self, item):
        file_path = item["file_path"]
        resize_to = item.get("resize_to", (800, 600))
        self.report_progress(current=1, total=3, message="Loading image...")
        try:
            image = load_image(file_path)
        except NotAPicture as exc:
            raise GiveUp(str(exc)) from exc  # trying again would not help
        self.check_cancelled()
        self.report_progress(current=2, total=3, message="Resizing...")
        resized = resize(image, resize_to)
        self.check_cancelled()
        self.report_progress(current=3, total=3, message="Saving...", result={"preview": preview(resized)})
        return {"output": save(resized, file_path), "preview": preview(resized)}


images = ImageQueue()
