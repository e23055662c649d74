// The page of a comparison: unpacks its data, and fills its two tables.

theme();
busy(async () => {
  const [library, text] = await Promise.all(["packed-tables", "packed-data"].map(unpackText));
  run(library);
  const D = JSON.parse(text);

  const plain = DataTable.render.text();
  const table = measures();
  if (byId("apart")) fits();

  function measures() {
    const at = Object.fromEntries(D.columns.map((name, place) => [name, place]));
    const title = {
      ...{ analysis: "Strategy", term: "Coefficient", measure: "Measure", fits: "Fits" },
      ...{ value_a: "A", value_b: "B", difference: "Difference", mcse: "Its MCSE", z: "z" },
      ...{ own_mcses: "Own MCSEs", p_adjusted: "p, adjusted", n_a: "Datasets in A" },
      ...{ n_b: "Datasets in B", differs: "Differs", reason: "Why not tested", ...D.axes },
    };
    const keys = ["differs", "measure", "analysis", "term", "fits", ...Object.keys(D.axes)];
    const names = { measure: D.measures, differs: { true: "yes", false: "no" } };
    const say = (column, value) => (names[column] || {})[value] ?? value ?? "–";
    const valuesOf = (name) => {
      const values = [...new Set(D.rows.map((row) => row[at[name]]))].filter((it) => it !== null);
      if (values.every((it) => typeof it === "number")) values.sort((x, y) => x - y);
      return values.map((it) => [String(it), say(name, it)]);
    };
    const column = (name) => {
      if (["n_a", "n_b"].includes(name)) return { ...numbers(name, title[name]), number: false };
      if (!keys.includes(name) && name !== "reason") return numbers(name, title[name]);
      if (typeof D.rows[0]?.[at[name]] === "number") return { ...numbers(name, title[name]), number: false };
      const render = (it, way) => (way === "display" ? plain.display(say(name, it)) : say(name, it));
      return { name, title: title[name], render };
    };
    return filteredTable("measures", {
      ...{ filters: "filters", button: "csv-shown", file: `${D.name}.csv`, start: { differs: "true" } },
      columns: D.columns.map(column),
      choices: Object.fromEntries(keys.map((name) => [name, valuesOf(name)])),
      rows: (wanted) =>
        D.rows.filter((row) =>
          Object.entries(wanted).every(([name, value]) => String(row[at[name]]) === value),
        ),
    });
  }

  function fits() {
    const text = (name) => ({ title: name, render: plain });
    const number = (title, factor = 1) => ({
      ...numbers("", title),
      render: (it, way) => (way === "display" ? shown(it === null ? it : factor * it, "number", 3) : it),
    });
    const columns = [text("Strategy"), text("Condition"), { ...number("Replication"), render: null }];
    columns.push(text("In A"), text("In B"), number("Estimate, SEs"), number("SE, %", 100));
    columns.push(number("df, %", 100), number("Criterion, B − A"));
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
    copyCommands(new DataTable("#apart", { ...LAYOUT, data: D.fits, ...withHeads(columns) }));
  }

  addEventListener("beforeprint", () => table.page.len(100).draw());
});
