// What pages with tables share: filters, columns and files.

const LAYOUT = {
  layout: { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" },
  ...{ pageLength: 10, lengthMenu: [10, 25, 100], autoWidth: false, order: [], deferRender: true },
  language: {
    ...{ search: "Search the table", lengthMenu: "Rows per page _MENU_" },
    ...{ info: "Rows _START_ to _END_ of _TOTAL_", infoEmpty: "No rows", infoFiltered: "(of _MAX_)" },
    ...{ emptyTable: "No rows with these choices", zeroRecords: "No rows found" },
  },
};

function csv(names, rows) {
  const quoted = (it) => {
    const text = String(it ?? "");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

function download(name, content, type) {
  const link = element("a", { download: name });
  link.href = URL.createObjectURL(new Blob([content], { type }));
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A table with selects above it that leave rows out, and a button that downloads what they leave.
// Columns are those of DataTables, and have a name; `choices` are the values to choose from of some
// of them, with their texts; `rows` gives the rows for the values that are chosen.
function filteredTable(id, { columns, choices, start = {}, rows, filters, button, file }) {
  const selects = {};
  for (const [name, values] of Object.entries(choices)) {
    if (values.length < 2) continue;
    const select = element("select", { id: `${filters.replace(/s$/, "")}-${name}` });
    const items = values.map(([value, text]) => ({ value, text }));
    options(select, [{ value: "", text: "all" }, ...items], start[name] ?? "");
    const { title } = columns.find((column) => column.name === name);
    const label = element("label", { htmlFor: select.id, textContent: title });
    byId(filters).append(element("div", { className: "control" }, label, select));
    select.addEventListener("change", fill);
    selects[name] = select;
  }
  byId(filters).closest("form").hidden = !Object.keys(selects).length;
  const made = new DataTable(`#${id}`, { ...LAYOUT, data: [], ...withHeads(columns) });
  function fill() {
    const chosen = Object.entries(selects).filter(([, select]) => select.value);
    made.clear();
    made.rows.add([...rows(Object.fromEntries(chosen.map(([name, it]) => [name, it.value])))]).draw();
    const found = made.rows().data().toArray();
    columns.forEach(({ name, number }, place) => {
      // a key that is the same in all rows would only push other columns out of sight
      const several = new Set(found.map((row) => row[place])).size > 1;
      made.column(place).visible(several || Boolean(number), false);
    });
  }
  fill();
  byId(button).addEventListener("click", () => {
    const found = made.rows({ search: "applied", order: "applied" }).data().toArray();
    download(file, csv(columns.map((it) => it.name), found), "text/csv");
  });
  return made;
}

// a column of numbers, which are shown with some digits
const numbers = (name, title, kind = "number", digits = 4) => ({
  ...{ name, title, number: true, type: "num", className: "number" },
  render: (it, way) => (way === "display" ? shown(it, kind, digits) : it),
});

// columns whose cells know their heads, which a phone shows before them
const withHeads = (columns) => ({
  columns,
  createdRow: (_row, _data, _place, cells) => {
    cells.forEach((cell, place) => (cell.dataset.head = columns[place].title));
  },
});

function copyCommands(table) {
  table.table().container().addEventListener("click", (event) => {
    const button = event.target.closest("button[data-command]");
    if (button) copy(button.dataset.command, button);
  });
}
