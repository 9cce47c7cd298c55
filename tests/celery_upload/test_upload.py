from unittest.mock import MagicMock, patch

from tasks import process_upload


def test_process_upload_enqueued(celery_app, celery_worker):
    result = process_upload.delay(123)
    assert result.task_id is not None


def test_process_upload_success(celery_app, celery_worker):
    with patch("tasks.get_file") as mock_get_file:
        mock_get_file.return_value = MagicMock()
        result = process_upload.apply(args=[123])
        assert result.successful() and result.result["status"] == "completed"
        mock_get_file.assert_called_once_with(123)


def test_process_upload_retry_on_failure(celery_app, celery_worker):
    with patch("tasks.get_file", side_effect=Exception("Temporary error")):
        result = process_upload.apply(args=[123])
        assert result.failed() and result.traceback is not None


async def test_upload_endpoint_creates_task(client):
    response = await client.post("/upload", json={"file_id": 123})
    assert response.status_code == 200 and "task_id" in response.json()
