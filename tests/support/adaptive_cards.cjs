// Reads one Adaptive Card per line from standard input and prints, as one JSON array per line, what the reference
// implementation complains about in each. The argument is the directory of its package.
"use strict";

const { AdaptiveCard, SerializationContext } = require(`${process.argv[2]}/dist/adaptivecards.js`);
const readline = require("node:readline");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const context = new SerializationContext();
  const card = new AdaptiveCard();
  card.parse(JSON.parse(line), context);
  const complaints = card.validateProperties().validationEvents.map((event) => event.message);
  for (let index = 0; index < context.eventCount; index++) {
    complaints.push(context.getEventAt(index).message);
  }
  console.log(JSON.stringify(complaints));
});
