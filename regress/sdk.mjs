// What programs do with OpenAI's SDK, against cloister serve: regress/sdk.sh.
import fs from "node:fs";
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const log = () => fs.readFileSync(process.env.UPSTREAM_LOG, "utf8");
let failed = false;

function check(name, ok, what) {
	console.log(`${ok ? "ok" : "FAIL"} ${name}`);
	if (!ok) {
		failed = true;
		console.log("   ", what);
	}
}

const ask = (model, content, more, options) =>
    client.chat.completions.create({ model, ...more,
	messages: [{ role: "user", content }] }, options);

// The error that a call fails with, or null.
async function fails(promise) {
	try {
		await promise;
		return null;
	} catch (e) {
		return e;
	}
}

async function until(test) {
	for (let i = 0; i < 300; i++) {
		if (test())
			return true;
		await new Promise((done) => setTimeout(done, 100));
	}
	return false;
}

const models = [];
for await (const m of client.models.list())
	models.push(m.id);
check("models", models.includes("echo") && models.length === 7, models);

let r = await ask("echo", "hello there");
check("an answer", r.choices[0].message.content === "hello there" &&
    r.choices[0].finish_reason === "stop" && r.usage.total_tokens > 0, r);

let text = "", usage = null, finish = null;
for await (const c of await ask("echo", "one two three", { stream: true,
    stream_options: { include_usage: true } })) {
	text += c.choices[0]?.delta?.content ?? "";
	finish = c.choices[0]?.finish_reason ?? finish;
	usage = c.usage ?? usage;
}
check("a stream", text === "one two three" && finish === "stop" &&
    usage.total_tokens > 0, { text, finish, usage });

// Aborting: a stream in its middle, and a call that waits.
const stream = await ask("long", "x", { stream: true });
let n = 0;
for await (const c of stream)
	if (++n === 5)
		stream.controller.abort();
check("an aborted stream", n >= 5 && await until(() =>
    /^long-50 .*aborted/m.test(log())), n);
const abort = new AbortController();
setTimeout(() => abort.abort(), 300);
let e = await fails(ask("long", "x", {}, { signal: abort.signal }));
check("an aborted call", e instanceof OpenAI.APIUserAbortError &&
    await until(() => log().match(/^long-50 .*aborted/mg).length === 2), e);

// Errors, by the SDK's own classes.
e = await fails(ask("nothing", "x"));
check("a bad model", e instanceof OpenAI.NotFoundError &&
    e.code === "model_not_found", e);
e = await fails(ask("nothing", "x", { stream: true }));
check("a bad model, streamed", e instanceof OpenAI.NotFoundError, e);
e = await fails(new OpenAI({ apiKey: "wrong", maxRetries: 0 }).models.list());
check("a bad key", e instanceof OpenAI.AuthenticationError &&
    e.code === "invalid_api_key", e);
e = await fails(ask("err400", "x"));
check("context overflow", e instanceof OpenAI.BadRequestError &&
    e.code === "context_length_exceeded", e);
e = await fails((async () => {
	for await (const c of await ask("trunc", "x", { stream: true }))
		;
})());
check("a stream that breaks off", e instanceof OpenAI.APIError, e);
e = await fails(ask("echo", "x", { temperature: 3 }));
check("a parameter out of range", e instanceof OpenAI.BadRequestError &&
    e.param === "temperature", e);

// Tools, as a program that uses them does, streamed and not.
const tools = [{ type: "function", function: { name: "say",
    description: "Says it.", parameters: { type: "object",
    properties: { text: { type: "string" } } } } }];
r = await ask("call", "pears", { tools });
const call = r.choices[0].message.tool_calls?.[0];
check("a tool is called", r.choices[0].finish_reason === "tool_calls" &&
    call?.function.name === "say" &&
    JSON.parse(call.function.arguments).text === "pears", r);
r = await client.chat.completions.create({ model: "call", tools, messages: [
    { role: "user", content: "pears" }, r.choices[0].message,
    { role: "tool", tool_call_id: call.id, content: "42" }] });
check("what it gave is used",
    r.choices[0].message.content === "The tool said: 42", r);
const runner = client.chat.completions.stream({ model: "call", tools,
    messages: [{ role: "user", content: "plums" }] });
r = await runner.finalChatCompletion();
check("a tool is called, streamed",
    r.choices[0].message.tool_calls[0].function.arguments ===
    "{\"text\":\"plums\"}", r);
r = await ask("look", [{ type: "text", text: "what is it?" },
    { type: "image_url", image_url: {
	url: `data:image/png;base64,${process.env.PNG}` } }]);
check("an image", r.choices[0].message.content.startsWith("I see 1 image"), r);

// Many at once, each its own answer.
const many = await Promise.all(Array.from({ length: 32 }, (_, i) =>
    ask("echo", `parallel ${i}`)));
check("32 at once", many.every((a, i) =>
    a.choices[0].message.content === `parallel ${i}`), many.length);

process.exit(failed ? 1 : 0);
