from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render

from jobsworth import JobNotFound
from jobsworth.integrations.django import jobs, owner_of

from .jobs import count_words
from .models import Report


class ReportForm(ModelForm):
    class Meta:
        model = Report
        fields = ["title", "text"]


@login_required
def index(request: HttpRequest) -> HttpResponse:
    """The form, and the reports of whoever asks, the newest first."""
    form = ReportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        make(form, request)
        return redirect("index")
    reports = Report.objects.filter(owner=request.user)[:20]
    return render(request, "reports/index.html", {"form": form, "reports": reports})


def make(form: ReportForm, request: HttpRequest) -> None:
    """Store the report and its job: both or neither, whatever goes wrong between here and the commit."""
    form.instance.owner = request.user
    with transaction.atomic():
        report = form.save()
        # The owner lets the person's own page see and cancel the job; nobody else may, but for staff.
        job = count_words.options(owner=owner_of(request.user), label=report.title).enqueue(report.pk)
        report.job = job.id
        report.save(update_fields=["job"])


@login_required
def status(request: HttpRequest, report_id: int) -> JsonResponse:
    """Where a report stands, for programs. The page asks /background/ itself."""
    report = get_object_or_404(Report, pk=report_id, owner=request.user)
    try:
        job = jobs.handle(report.job).status()["job"]
    except JobNotFound:  # finished jobs are kept for a week
        job = {"status": "completed" if report.words is not None else "gone", "progress": None}
    return JsonResponse({"job": report.job, "status": job["status"], "progress": job["progress"]})
