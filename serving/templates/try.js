
const MOST_BARS = 10;
const BOARD = 280;      // pixels of a drawing's long side
const PEN = BOARD / 12; // how thick a line is
const STEP = BOARD / 14;
const SHARE = 20 / 28;  // of the picture that a drawing fills, as in MNIST

let signature = null;
let predicted = null; // the prediction that is shown
let turns = 0; // of two answers, that to the later question is shown

// Answers

/** Where there is no answer, none to an earlier question is shown in its stead. */
const question = (step) => attempt(step, forget);

function forget() {
  find("result").hidden = true;
  if (signature.kind === "image") blank();
}

async function predict(input, sample = null) {
  const turn = ++turns;
  if (signature.kind === "image") paint(find("seen"), input);
  const answer = await postJson("predict", { inputs: [input] });
  if (turn === turns) show(answer, sample);
}

function show(answer, sample) {
  const [prediction] = answer.predictions;
  predicted = prediction;
  say(`${answer.model}:${answer.version} answered.`);
  find("result").hidden = false;
  const truth = sample === null ? "" : sample === prediction.label ? " That is right." : ` That is wrong: it is ${sample}.`;
  find("answer").textContent = `${prediction.label}, with a probability of ${percent(prediction.confidence)} %.${truth}`;
  const sorted = Object.entries(prediction.probabilities).sort(([, one], [, other]) => other - one);
  find("bars").replaceChildren(...sorted.slice(0, MOST_BARS).map(([name, probability]) => bar(name, probability)));
  find("more").textContent = sorted.length > MOST_BARS ? `${sorted.length - MOST_BARS} less probable classes are not shown.` : "";
  find("thanks").textContent = "";
  find("label").value = sorted[1][0];
  correct(false);
  setFeedback(true);
}

const percent = (share) => (100 * share).toFixed(1);

function bar(name, probability) {
  const line = element("tr");
  const cell = element("td");
  const meter = element("meter", "", { value: probability });
  meter.setAttribute("aria-label", `probability of ${name}`);
  cell.append(meter);
  line.append(element("td", name), cell, element("td", percent(probability), { className: "n" }));
  return line;
}

// Feedback

function setFeedback(enabled) {
  for (const button of find("feedback").querySelectorAll("button")) button.disabled = !enabled;
}

function correct(open) {
  find("correction").hidden = !open;
  find("wrong").setAttribute("aria-expanded", String(open));
}

async function tell(label) {
  setFeedback(false);
  try {
    const counts = await postJson("feedback", { labels: [{ receipt: predicted.receipt, label }] });
    find("thanks").textContent = thanks(counts);
  } catch (error) {
    setFeedback(true); // it may be sent again
    throw error;
  }
}

function thanks(counts) {
  if (counts.accepted) return "Thank you, the label was saved.";
  if (counts.duplicate) return "This label was sent before.";
  if (counts.conflict) return "Another label was sent before, and is kept.";
  return `The label was not accepted: ${counts.reasons[0].detail}.`;
}

// Pictures

function paint(canvas, pixels) {
  const [height, width] = signature.shape;
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const values = pixels.flat(2);
  const channels = signature.shape[2] ?? 1;
  for (let place = 0; place < width * height; place++) {
    for (let channel = 0; channel < 3; channel++)
      image.data[4 * place + channel] = values[channels * place + (channels === 3 ? channel : 0)];
    image.data[4 * place + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.setAttribute("aria-label", `the picture in ${height} × ${width} pixels`);
}

function blank() {
  const [height, width, channels = 1] = signature.shape;
  paint(find("seen"), Array(height * width * channels).fill(light() ? 255 : 0));
  find("seen").setAttribute("aria-label", "nothing yet");
}

async function look(blob) {
  const turn = ++turns;
  const response = await request("pixels", { method: "POST", headers: { "Content-Type": blob.type }, body: blob });
  const { inputs: [input] } = await response.json();
  if (turn === turns) await predict(input);
}

// Drawing: light on dark or dark on light, as the data set is that the model was trained on

const board = find("drawing");
const pen = { x: 0, y: 0, down: false };
let ink = null;

function setUpBoard() {
  const [height, width] = signature.shape;
  board.width = BOARD * width / Math.max(height, width);
  board.height = BOARD * height / Math.max(height, width);
  ink = board.getContext("2d", { willReadFrequently: true });
  ink.lineWidth = PEN;
  ink.lineCap = ink.lineJoin = "round";
  ink.strokeStyle = light() ? "black" : "white";
  clear();
}

const light = () => signature.ground > 127;

function fill(context) {
  context.fillStyle = light() ? "white" : "black";
  context.fillRect(0, 0, board.width, board.height);
}

function clear() {
  turns++;
  fill(ink);
  forget();
  find("file").value = "";
  press(false);
  jump(board.width / 2, board.height / 2);
}

function jump(x, y) {
  pen.x = Math.min(Math.max(x, 0), board.width);
  pen.y = Math.min(Math.max(y, 0), board.height);
  find("pen").style.left = `${100 * pen.x / board.width}%`;
  find("pen").style.top = `${100 * pen.y / board.height}%`;
}

function line(x, y) {
  ink.beginPath();
  ink.moveTo(pen.x, pen.y);
  jump(x, y);
  ink.lineTo(pen.x, pen.y);
  ink.stroke();
}

function press(down) {
  pen.down = down;
  find("press").setAttribute("aria-pressed", String(down));
  if (down) line(pen.x, pen.y);
}

function move(right, down) {
  const x = pen.x + STEP * right, y = pen.y + STEP * down;
  if (!pen.down) return jump(x, y);
  line(x, y);
  return question(ask);
}

/** Ask about the drawing: cut out where there is ink, centred, with a margin. */
async function ask() {
  const box = inked();
  if (box === null) return;
  const scale = SHARE * Math.min(board.width / box.width, board.height / box.height);
  const width = scale * box.width, height = scale * box.height;
  const picture = element("canvas", "", { width: board.width, height: board.height });
  const onto = picture.getContext("2d");
  fill(onto);
  onto.imageSmoothingQuality = "high";
  onto.drawImage(board, box.x, box.y, box.width, box.height,
    (picture.width - width) / 2, (picture.height - height) / 2, width, height);
  await look(await new Promise((resolve) => picture.toBlob(resolve, "image/png")));
}

function inked() {
  const { data } = ink.getImageData(0, 0, board.width, board.height);
  let left = board.width, right = -1, top = board.height, bottom = -1;
  for (let y = 0; y < board.height; y++) {
    for (let x = 0; x < board.width; x++) {
      if (data[4 * (y * board.width + x)] > 127 === light()) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  return right < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

function onBoard(event) {
  const edges = board.getBoundingClientRect();
  return [(event.clientX - edges.left) * board.width / edges.width, (event.clientY - edges.top) * board.height / edges.height];
}

board.addEventListener("pointerdown", (event) => {
  board.setPointerCapture(event.pointerId);
  jump(...onBoard(event));
  line(pen.x, pen.y);
});
board.addEventListener("pointermove", (event) => {
  if (board.hasPointerCapture(event.pointerId)) line(...onBoard(event));
});
board.addEventListener("pointerup", () => question(ask));
board.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key in moves) move(...moves[event.key]);
  else if (event.key === " ") toggle();
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-move]"))
  button.addEventListener("click", () => move(...button.dataset.move.split(" ").map(Number)));
find("press").addEventListener("click", toggle);
find("clear").addEventListener("click", clear);

function toggle() {
  press(!pen.down);
  question(ask);
}

// Files

const take = (files) => files.length && signature?.kind === "image" && question(() => look(files[0]));
find("file").addEventListener("click", (event) => { event.target.value = ""; }); // so that the same file may follow itself
find("file").addEventListener("change", (event) => take(event.target.files));
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});

// Rows

function setUpRow() {
  const names = signature.columns ?? Array.from({ length: signature.shape[0] }, (_, place) => `column ${place}`);
  find("columns").querySelector(".fields").replaceChildren(...names.map((name) => {
    const label = element("label", name);
    label.append(element("input", "", { type: "number", step: "any", required: true }));
    return label;
  }));
}

find("columns").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = [...event.target.querySelectorAll("input")];
  question(() => predict(fields.map((field) => field.valueAsNumber)));
});

// Samples

function sampleButton({ label, input }, place) {
  const button = element("button", "", { type: "button", className: "sample" });
  button.setAttribute("aria-label", `sample ${place + 1}: ${label}`);
  if (signature.kind === "image") {
    const canvas = element("canvas");
    paint(canvas, input);
    button.append(canvas);
  }
  button.append(element("span", label));
  button.addEventListener("click", () => {
    if (signature.kind === "table")
      find("columns").querySelectorAll("input").forEach((field, column) => { field.value = input[column]; });
    question(() => predict(input, label));
  });
  return button;
}

// The model

function describe(model) {
  const { accuracy, samples } = model.baseline;
  const rows = {
    "Version": `${model.model}:${model.version}`,
    "Aliases": model.aliases ? model.aliases.join(", ") || "none" : "unknown: the registry does not answer",
    "Registered": `${model.created.slice(0, 16).replace("T", " ")} UTC`,
    "Classes": String(signature.classes.length),
    "Accuracy": `${percent(accuracy)} % of ${samples} held-out examples`,
  };
  find("about").querySelector("dl").replaceChildren(...Object.entries(rows).flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
}

find("right").addEventListener("click", () => attempt(() => tell(predicted.label)));
find("wrong").addEventListener("click", () => correct(find("correction").hidden));
find("feedback").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => tell(find("label").value));
});
find("card").addEventListener("click", (event) => {
  if (!token) return;
  event.preventDefault(); // a link cannot carry the token
  attempt(async () => location.assign(URL.createObjectURL(await (await request("card")).blob())));
});

attempt(async () => {
  const model = await getJson("model");
  signature = model.signature;
  describe(model);
  find("label").replaceChildren(...signature.classes.map((name) => element("option", name)));
  find("model").hidden = false;
  if (signature.kind === "image") {
    const [height, width, channels] = signature.shape;
    find("picture").hidden = false;
    find("size").textContent = `${height} × ${width} pixels in ${channels ? "colour" : "grey"}; drawings are cropped and centred first`;
    setUpBoard();
  } else {
    find("row").hidden = false;
    setUpRow();
  }
  say(`${model.model}:${model.version} is ready.`);
  const { samples } = await getJson("samples.json");
  find("samples").hidden = !samples.length;
  find("samples").querySelector(".buttons").replaceChildren(...samples.map(sampleButton));
});
