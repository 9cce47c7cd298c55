"""Its web app."""

from fastapi import FastAPI
from pydantic import BaseModel
from tasks import process_upload

app = FastAPI()


class Upload(BaseModel):
    file_id: int


@app.post("/upload")
async def upload(given: Upload) -> dict[str, str]:
    return {"task_id": process_upload.delay(given.file_id).id}
