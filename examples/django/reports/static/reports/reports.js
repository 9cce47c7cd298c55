// <job-progress> shows the job by itself. When one is done the page is read anew: it then holds what was found out.
addEventListener("jobchange", ({ detail }) => {
  if (detail.status === "completed") location.reload();
});
