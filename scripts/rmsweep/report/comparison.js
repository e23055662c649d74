// The page of a comparison: unpacks its data, and fills its two tables.

theme();
busy(async () => {
  const [library, text] = await Promise.all(["packed-tables", "packed-data"].map(unpack));
  run(library);
  const D = JSON.parse(text);

  const LAYOUT = {
    layout: { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" },
    ...{ pageLength: 10, lengthMenu: [10, 25, 100], autoWidth: false, order: [], deferRender: true },
    language: { search: "Search the table", lengthMenu: "Rows per page _MENU_" },
  };
  const plain = DataTable.render.text();

  const table = measures();
  if (byId("apart")) fits();

  function measures() {
    const at = Object.fromEntries(D.columns.map((name, place) => [name, place]));
    const title = {
      ...{ analysis: "Strategy", term: "Coefficient", measure: "Measure", fits: "Fits" },
      ...{ value_a: "A", value_b: "B", difference: "Difference", mcse: "Its MCSE", z: "z" },
      ...{ own_mcses: "Own MCSEs", p_adjusted: "p, adjusted", n_a: "Datasets in A" },
      ...{ n_b: "in B", differs: "Differs", reason: "Why not tested", ...D.axes },
    };
    const texts = ["analysis", "term", "measure", "fits", "reason", "differs"];
    const names = { measure: D.measures };
    names.differs = { true: "yes", false: "no" };
    const say = (column, value) => (names[column] || {})[value] ?? value ?? "–";
    const one = new DataTable("#measures", {
      ...LAYOUT,
      data: [],
      columns: D.columns.map((name) =>
        texts.includes(name) || (name in D.axes && typeof D.rows[0]?.[at[name]] === "string")
          ? { title: title[name], render: (it, kind) => (kind === "display" ? plain.display(say(name, it)) : say(name, it)) }
          : { title: title[name], type: "num", className: "number", render: (it, kind) => (kind === "display" ? shown(it, "number") : it) },
      ),
    });
    const selects = {};
    for (const name of ["differs", "measure", "analysis", "term", "fits", ...Object.keys(D.axes)]) {
      const values = [...new Set(D.rows.map((row) => row[at[name]]))].filter((it) => it !== null);
      if (values.length < 2) continue;
      if (values.every((it) => typeof it === "number")) values.sort((x, y) => x - y);
      const select = element("select", { id: `filter-${name}` });
      select.append(element("option", { value: "", textContent: "all" }));
      for (const it of values) select.append(element("option", { value: String(it), textContent: say(name, it) }));
      const label = element("label", { htmlFor: select.id, textContent: title[name] });
      byId("filters").append(element("div", { className: "control" }, label, select));
      select.addEventListener("change", fill);
      selects[name] = select;
    }
    if (selects.differs) selects.differs.value = "true";
    else if (!Object.keys(selects).length) byId("filters").closest("form").hidden = true;
    function fill() {
      const wanted = Object.entries(selects).filter(([, select]) => select.value);
      one.clear();
      one.rows.add(
        D.rows.filter((row) => wanted.every(([name, select]) => String(row[at[name]]) === select.value)),
      );
      one.draw();
      const rows = one.rows().data().toArray();
      for (const name of ["term", "reason", "differs", "fits"]) {
        const same = new Set(rows.map((row) => row[at[name]])).size < 2;
        const empty = !rows.some((row) => row[at[name]] !== null);
        one.column(at[name]).visible(!(empty || (same && name !== "term")), false);
      }
    }
    fill();
    byId("csv-shown").addEventListener("click", () => {
      const rows = one.rows({ search: "applied", order: "applied" }).data().toArray();
      const quoted = (it) => (/[",\n]/.test(it) ? `"${it.replaceAll('"', '""')}"` : it);
      const lines = [D.columns, ...rows].map((row) => row.map((it) => quoted(String(it ?? ""))).join(","));
      const blob = new Blob([lines.join("\n") + "\n"], { type: "text/csv" });
      const link = element("a", { href: URL.createObjectURL(blob), download: `${D.name}.csv` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    return one;
  }

  function fits() {
    const text = (name) => ({ title: name, render: plain });
    const number = (name, factor = 1) => ({
      ...{ title: name, type: "num", className: "number" },
      render: (it, kind) => (kind === "display" ? shown(it === null ? it : factor * it, "number", 3) : it),
    });
    const columns = [text("Strategy"), text("Condition"), number("Replication")];
    columns.push(text("In A"), text("In B"), number("Estimate, SEs"), number("SE, %", 100));
    columns.push(number("df, %", 100), number("Criterion, B − A"));
    columns[2].render = (it) => it;
    for (const study of ["A", "B"]) {
      columns.push({
        title: `Fit ${study}’s again`,
        orderable: false,
        className: "noprint",
        render: (command, kind, row) => {
          if (kind !== "display") return command;
          const button = element("button", { type: "button", textContent: `Copy ${study}’s command` });
          button.setAttribute(
            "aria-label",
            `Copy ${study}’s command: ${row[0]}, ${row[1]}, replication ${row[2]}`,
          );
          button.title = command;
          button.dataset.command = command;
          return button;
        },
      });
    }
    const made = new DataTable("#apart", { ...LAYOUT, data: D.fits, columns });
    made.table().container().addEventListener("click", (event) => {
      const button = event.target.closest("button[data-command]");
      if (button) copy(button.dataset.command, button);
    });
  }

  addEventListener("beforeprint", () => table.page.len(100).draw());
});
