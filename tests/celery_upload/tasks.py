"""The program of the tests beside it, as a Celery user has it: only its import line is changed."""

from jobsworth.integrations.celery import Celery

celery_app = Celery("tasks", broker="redis://localhost:6379/0", backend="redis://localhost:6379/1")
celery_app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_serializer="json",
    task_track_started=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
)


def get_file(file_id: int) -> str:
    return f"file {file_id}"


def perform_analysis(file: object) -> str:
    return f"all about {file}"


def notify_completion(file_id: int, result: str) -> None: ...


@celery_app.task(bind=True, max_retries=3)
def process_upload(self, file_id: int):
    try:
        file = get_file(file_id)
        result = perform_analysis(file)
        notify_completion(file_id, result)
        return {"status": "completed", "file_id": file_id}
    except Exception as e:
        raise self.retry(exc=e, countdown=2**self.request.retries)
