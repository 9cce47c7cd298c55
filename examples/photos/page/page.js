// Sends pictures, lists them and shows what became of them. Bars, messages and cancelling are <job-progress>'s part.
import "../background/static/jobsworth.js";

const [zone, choice, said, list, template] = ["zone", "choice", "said", "pictures", "picture"].map((id) =>
  document.getElementById(id),
);
let outputs = []; // the files that are made of each picture, as the server names them
let largest = Infinity; // bytes

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function refresh() {
  try {
    const known = await ask("pictures");
    ({ outputs, largest } = known);
    known.pictures.reverse().forEach(show);
  } catch (error) {
    said.textContent = error.message;
  }
}

function show({ job, name }) {
  if (document.getElementById(job)) return;
  const item = template.content.firstElementChild.cloneNode(true);
  const progress = item.querySelector("job-progress");
  item.id = job;
  progress.setAttribute("label", name);
  progress.setAttribute("job", job);
  list.prepend(item);
}

list.addEventListener("jobchange", ({ target, detail: { job_id, status } }) => {
  const item = target.closest("li");
  if (status === "gone") item.remove();
  if (status === "completed") offer(item, job_id, target.getAttribute("label"));
});

function offer(item, job, name) {
  const at = (output) => `pictures/${job}/${output}`;
  const image = item.querySelector("img");
  image.src = at("thumb.jpg");
  image.alt = `Thumbnail of ${name}`;
  const links = outputs.map((output) => {
    const link = document.createElement("a");
    Object.assign(link, { href: at(output), download: "", textContent: output, ariaLabel: `${output} of ${name}` });
    return link;
  });
  item.querySelector(".files").replaceChildren(...links.reverse());
}

async function send(files) {
  const refused = [];
  for (const [index, file] of files.entries()) {
    said.textContent = `Sending ${file.name}, ${index + 1} of ${files.length}`;
    try {
      if (file.size > largest) throw new Error(`larger than ${largest / 1e6} MB`);
      const path = `pictures?name=${encodeURIComponent(file.name)}`;
      show(await ask(path, { method: "POST", body: file }));
    } catch (error) {
      refused.push(`${file.name}: ${error.message}`);
    }
  }
  said.textContent = [`${files.length - refused.length} of ${files.length} sent`, ...refused].join("\n");
}

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") send([...event.dataTransfer.files]);
  });
}
addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && send([...clipboardData.files]));
choice.addEventListener("change", () => {
  send([...choice.files]);
  choice.value = ""; // the same file may be chosen again
});
addEventListener("focus", refresh); // another tab may have sent some
refresh();
