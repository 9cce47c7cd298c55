from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, JsonResponse

from django_site.shop.jobs import asend, send
from django_site.shop.models import Order
from jobsworth.integrations.django import owner_of


def order(request: HttpRequest, what: str) -> JsonResponse:
    """What is refused leaves neither an order nor a job."""
    with transaction.atomic():
        made = Order.objects.create(what=what)
        owner = owner_of(request.user) if request.user.is_authenticated else None
        job = send.options(owner=owner).enqueue(made.pk)
        if what == "nothing":
            raise ValueError("there is nothing to order")
    return JsonResponse({"job": job.id, "token": job.token()})


async def aorder(request: HttpRequest, what: str) -> JsonResponse:
    made = await Order.objects.acreate(what=what)
    job = await asend.aenqueue(made.pk)
    return JsonResponse({"job": job.id})
