// Offers no more images at once than the limits have room for, and says so.
let room = {most: Infinity, text: ""};

export function tellRoom(told) {
  room = told;
  const field = document.querySelector("#count");
  if (!field) return;
  let note = field.querySelector(".room");
  if (!note) {
    note = Object.assign(document.createElement("p"), {className: "room", id: "room"});
    note.setAttribute("role", "status");
    field.append(note);
  }
  if (note.textContent !== room.text) note.textContent = room.text;
  bound(field);
}

function bound(field) {
  const most = Math.max(1, room.most);
  for (const input of field.querySelectorAll("input")) {
    if (Number(input.max) !== most) input.max = most;
    if (Number(input.value) > most) {
      input.value = most;
      input.dispatchEvent(new Event("input", {bubbles: true}));
    }
  }
}

export function listenToRoom() {
  document.addEventListener("change", event => {
    const field = event.target.closest?.("#count");
    if (field) bound(field);
  });
}
