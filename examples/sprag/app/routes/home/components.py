"""How it looks: drawn by the server first, then by the browser at every change."""

from sprag import Component, ui


class UploadCard(Component):
    def render(self, props=None):  # noqa: ARG002 (SPRAG gives them)
        job = self.state.get("job") or {}
        status = job.get("status", "")
        progress = job.get("progress") or {}
        percent = progress.get("percent", 0)
        result = job.get("result") or {}
        picture = result.get("preview", "")
        moves = status in ("queued", "running", "cancelling")
        return ui.div(
            ui.form(
                ui.label("A picture ", ui.input(type="file", name="picture", accept="image/*")),
                ui.button("Make it smaller", type="submit"),
                data_role="upload",
            ),
            ui.div(
                ui.p(self.state.get("message", ""), role="status", data_role="message"),
                ui.progress("", value=str(percent), max="100", aria_label="Progress") if moves else ui.span(""),
                ui.button("Cancel", type="button", data_role="cancel") if moves else ui.span(""),
                ui.img(src=picture, alt=job.get("label", "")) if picture else ui.span(""),
                class_="job",
                data_status=status,
            ),
        )
