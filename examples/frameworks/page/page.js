// Sends newsletters, and shows those of this visitor. The bars are jobsworth.js's, which shows a job by its id: whose
// it is, the session says.

const button = document.querySelector("#send");
const said = document.querySelector("#said");
const mine = document.querySelector("#mine");

function show({ job, label }) {
  const item = document.createElement("li");
  const shown = document.createElement("job-progress");
  shown.setAttribute("job", job);
  shown.setAttribute("label", label);
  item.append(shown);
  mine.prepend(item);
}

async function ask(method) {
  const answer = await fetch("newsletters", { method });
  if (!answer.ok) throw new Error(`the server said ${answer.status}`);
  return answer.json();
}

button.addEventListener("click", async () => {
  said.textContent = "";
  try {
    show(await ask("POST"));
  } catch (error) {
    said.textContent = `That did not work: ${error.message}`;
  }
});

for (const one of (await ask("GET")).toReversed()) show(one);
