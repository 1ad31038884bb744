// What the browser tests share: a Renderkeep of their own on a free port, Chromium from the system, and the checks every
// page has to pass. Nothing here knows a page.
import assert from 'node:assert/strict';
import { spawn, execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { access, chmod, chown, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const BIN = process.env.RENDERKEEP_BIN ?? fileURLToPath(new URL('../../target/debug/renderkeep', import.meta.url));
const ROOT = process.getuid?.() === 0;
/** Who the server becomes when it is started as root. */
const NOBODY = 65534;

export const WIDTHS = [390, 820, 1440, 1920];
export const SCHEMES = /** @type {const} */ (['light', 'dark']);
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/**
 * `renderkeep up` on a data directory below /tmp, until `stop`.
 *
 * `env` is configuration (`RENDERKEEP__INFERENCE__DEMO_FAULTS: 'true'`).
 */
export class Server {
    /** @param {string} dir @param {Record<string, string>} env */
    constructor(dir, env) {
        this.dir = dir;
        this.env = env;
        this.log = join(dir, 'server.log');
        /** @type {any} run/ready.json while the server answers */
        this.ready = null;
        /** @type {import('node:child_process').ChildProcess | null} */
        this.child = null;
    }

    /** @param {{ env?: Record<string, string> }} [options] */
    static async start({ env = {} } = {}) {
        const dir = await mkdtemp(join(tmpdir(), 'renderkeep-test-'));
        // The server leaves root behind, and must still reach its data.
        await chmod(dir, 0o755);
        if (ROOT) await chown(dir, NOBODY, NOBODY);
        const server = new Server(dir, env);
        await server.run().catch(async (error) => {
            await rm(dir, { recursive: true, force: true });
            throw error;
        });
        return server;
    }

    get url() {
        return this.ready.url.replace(/\/$/, '');
    }

    get data() {
        return join(this.dir, 'data');
    }

    /** The first owner: `{ mail, one_time_password }`. */
    get owner() {
        return this.ready.owner;
    }

    /** Starts it, again after `stop` or `kill` too, and waits until it answers. */
    async run() {
        const out = createWriteStream(this.log, { flags: 'a' });
        const child = spawn(BIN, ['up', '--data', this.data, '--port', '0'], { env: { ...process.env, ...this.env }, stdio: ['ignore', 'pipe', 'pipe'] });
        child.stdout.pipe(out, { end: false });
        child.stderr.pipe(out, { end: false });
        this.child = child;
        /** @type {string | null} */
        let ended = null;
        child.once('error', (error) => (ended = error.message));
        child.once('exit', (code, signal) => (ended = `the server ended while starting (${signal ?? code})`));
        try {
            await this.answers(() => ended);
        } catch (error) {
            await this.kill();
            throw new Error(`${/** @type {Error} */ (error).message}\n${await this.tail()}`);
        }
    }

    /** @param {() => string | null} ended */
    async answers(ended) {
        for (const end = Date.now() + 90_000; Date.now() < end; await sleep(50)) {
            const reason = ended();
            if (reason) throw new Error(reason);
            const ready = await readFile(join(this.data, 'run/ready.json'), 'utf8').then(JSON.parse, () => null);
            // A file left by a killed server names another process.
            if (ready && !(this.ready && ready.started_at === this.ready.started_at)) {
                this.ready = ready;
                return;
            }
        }
        throw new Error('the server did not become ready within 90 s');
    }

    /** A personal API token, made by the command. @param {string} [person] @param {string[]} [scopes] */
    async token(person = this.owner.mail, scopes = []) {
        const args = ['token', 'create', '--data', this.data, '--person', person, ...scopes.flatMap((scope) => ['--scope', scope])];
        const { stdout } = await promisify(execFile)(BIN, args, { env: { ...process.env, ...this.env } });
        return stdout.trim();
    }

    /** Ends it in order. */
    async stop() {
        await this.end('SIGTERM', 30_000);
    }

    /** Ends it without warning, as a power cut does to the process. */
    async kill() {
        await this.end('SIGKILL', 5_000);
    }

    /** @param {NodeJS.Signals} signal @param {number} patience */
    async end(signal, patience) {
        const child = this.child;
        if (!child || child.exitCode !== null || child.signalCode !== null) return;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill(signal);
        const late = Symbol('late');
        if ((await Promise.race([gone, sleep(patience, late, { ref: false })])) !== late) return;
        child.kill('SIGKILL');
        await gone;
        throw new Error(`the server ignored ${signal} for ${patience / 1000} s\n${await this.tail()}`);
    }

    /** Ends it and removes its data; the log of a failed test is shown first. @param {{ failed?: boolean }} [options] */
    async remove({ failed = false } = {}) {
        try {
            await this.stop();
        } finally {
            if (failed) console.error(await this.tail());
            await rm(this.dir, { recursive: true, force: true, maxRetries: 5 });
        }
    }

    async tail() {
        const text = await readFile(this.log, 'utf8').catch(() => '');
        return `--- the server's last lines\n${text.split('\n').slice(-60).join('\n')}`;
    }
}

/** Chromium from the system. Its sandbox does not work for root, so only there it is off. */
export async function openBrowser() {
    const executablePath = process.env.RENDERKEEP_CHROMIUM ?? '/usr/bin/chromium';
    await access(executablePath);
    return chromium.launch({ executablePath, headless: true, chromiumSandbox: !ROOT, args: ROOT ? ['--no-sandbox', '--disable-dev-shm-usage'] : [] });
}

/**
 * A page in its own browser profile that keeps what went wrong: script errors, console errors (a broken content security
 * policy is one), and requests to anywhere but the server.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {Server} server
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function openPage(browser, server, options = {}) {
    const context = await browser.newContext({ baseURL: server.url, acceptDownloads: true, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    /** @type {string[]} */
    const problems = [];
    page.on('pageerror', (error) => problems.push(`script: ${error.message}`));
    page.on('console', (message) => {
        if (message.type() === 'error') problems.push(`console: ${message.text()}`);
    });
    page.on('request', (request) => {
        const { protocol, origin } = new URL(request.url());
        if (protocol.startsWith('http') && origin !== new URL(server.url).origin) problems.push(`foreign request: ${request.url()}`);
    });
    return Object.assign(page, { problems });
}

/** @param {{ problems: string[] }} page */
export function assertQuiet(page) {
    assert.deepEqual(page.problems, []);
}

/** No accessibility fault that axe can find, and no id twice: a label would belong to the wrong thing. @param {import('playwright-core').Page} page @param {string} [name] */
export async function assertAccessible(page, name = page.url()) {
    const { violations } = await new AxeBuilder({ page }).withTags(WCAG).analyze();
    const faults = violations.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((node) => `    ${node.target.join(' ')}\n    ${node.failureSummary ?? ''}`).join('\n')}`);
    assert.equal(faults.length, 0, `${name}\n${faults.join('\n')}`);
    const twice = await page.evaluate(() => {
        const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
        return ids.filter((id, at) => ids.indexOf(id) !== at);
    });
    assert.deepEqual(twice, [], `${name}: an id twice`);
}

/**
 * The page in every colour scheme and width, for people to look at: target/screenshots/NAME-WIDTH-SCHEME.png.
 * Fails when the page scrolls sideways in one of them, or axe finds a fault in the narrowest or the widest.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} name
 * @param {{ widths?: number[], accessible?: boolean, height?: number }} [options] `height`: of a window that shows all, for a
 *   page with a bar that floats over what can be scrolled; to axe that is out of reach
 */
export async function shoot(page, name, { widths = WIDTHS, accessible = true, height } = {}) {
    const folder = process.env.RENDERKEEP_SHOTS ?? 'target/screenshots';
    await mkdir(folder, { recursive: true });
    const before = page.viewportSize();
    for (const colorScheme of SCHEMES) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        for (const width of widths) {
            await page.setViewportSize({ width, height: height ?? (width < 500 ? 844 : 1000) });
            await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
            const wide = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(wide <= width, `${name} is ${wide} px wide in a window of ${width} px`);
            if (accessible && (width === widths[0] || width === widths.at(-1))) await assertAccessible(page, `${name} (${width}, ${colorScheme})`);
        }
    }
    await page.emulateMedia({ colorScheme: null, reducedMotion: null });
    if (before) await page.setViewportSize(before);
}
