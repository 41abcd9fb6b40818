/**
 * A real Slurm with two nodes on this machine: its daemons are child processes of the test, as its own user, without systemd. They
 * listen on the loopback address, keep their files in one folder, and die with the test.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** Variable of the environment by which a node's own processes are known; the tasks on it have Slurm's SLURMD_NODENAME. */
const NODE_VARIABLE = 'MIDAS_TEST_NODE';

const PATH = [process.env.PATH, '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter);

/** True if Slurm and munge are installed (Debian: slurm-wlm and munge). */
export function hasSlurm(): boolean {
  const isThere = (name: string) => PATH.split(delimiter).some((folder) => existsSync(join(folder, name)));
  return ['slurmctld', 'slurmd', 'munged', 'sbatch'].every(isThere);
}

/** The intervals are short: the task of a dead node is queued again within half a minute, and not within five. */
const configuration = (dir: string, [controller, ...nodes]: readonly number[], user: string) => `
ClusterName=midas
SlurmctldHost=localhost
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
AuthInfo=socket=${dir}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=${controller}
SlurmctldPidFile=${dir}/slurmctld.pid
SlurmdPidFile=${dir}/slurmd.%n.pid
SlurmdSpoolDir=${dir}/%n
StateSaveLocation=${dir}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=100000,sched_interval=1
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdTimeout=6
SlurmctldTimeout=10
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmdParameters=config_overrides
${nodes.map((port, i) => `NodeName=n${i + 1} NodeAddr=127.0.0.1 NodeHostname=localhost Port=${port} CPUs=1 RealMemory=1000`).join('\n')}
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
`;

export const NODES = ['n1', 'n2'] as const;
export type NodeName = (typeof NODES)[number];
type Daemon = 'munged' | 'slurmctld' | NodeName;

export class SlurmCluster {
  /** Variables that commands of Slurm need. */
  readonly env: NodeJS.ProcessEnv;
  readonly #dir: string;
  readonly #daemons = new Map<Daemon, ChildProcess>();

  private constructor(dir: string) {
    this.#dir = dir;
    this.env = { SLURM_CONF: join(dir, 'slurm.conf'), PATH };
  }

  /** @param dir folder that does not exist yet, with a short path without spaces @throws Error if no job can be submitted soon */
  static async start(dir: string): Promise<SlurmCluster> {
    for (const name of ['state', ...NODES]) mkdirSync(join(dir, name), { recursive: true, mode: 0o755 });
    writeFileSync(join(dir, 'munge.key'), randomBytes(128), { mode: 0o600 });
    const ports = await freePorts(3);
    writeFileSync(join(dir, 'slurm.conf'), configuration(dir, ports, userInfo().username));
    const cluster = new SlurmCluster(dir);
    const of = (kind: string, file: string) => `--${kind}=${join(dir, file)}`;
    const files = [of('key-file', 'munge.key'), of('socket', 'munge.socket'), of('pid-file', 'munged.pid')];
    const others = [of('log-file', 'munged.log'), of('seed-file', 'munged.seed')];
    cluster.#spawn('munged', 'munged', ['--foreground', '--force', ...files, ...others]);
    while (!existsSync(join(dir, 'munge.socket'))) await setTimeout(50);
    cluster.startController();
    for (const node of NODES) cluster.startNode(node);
    await cluster.ready();
    return cluster;
  }

  /** Waits until both nodes take jobs. @throws Error after two minutes */
  ready(): Promise<void> {
    return this.#until('Slurm starts', () => NODES.every((node) => /^(idle|mixed|allocated)$/.test(this.#state(node))));
  }

  /** Waits until the controller knows that a node is dead, and has put its tasks back into the queue. @throws Error as ready */
  dead(node: NodeName): Promise<void> {
    return this.#until(`the death of ${node} is noticed`, () => /^down/.test(this.#state(node)));
  }

  #state(node: NodeName): string {
    return this.run('sinfo', '--noheader', `--nodes=${node}`, '--format=%T').trim();
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const end = performance.now() + 120_000;
    for (;;) {
      try {
        if (holds()) return;
      } catch {
        // The controller does not answer yet.
      }
      if (performance.now() > end) throw new Error(`not within two minutes: ${what}\n${this.#description()}`);
      await setTimeout(200);
    }
  }

  /** What the controller says of nodes and tasks, and the ends of all logs. */
  #description(): string {
    const say = (command: string, ...args: string[]): string => {
      try {
        return this.run(command, ...args);
      } catch (error) {
        return `${command}: ${(error as Error).message}\n`;
      }
    };
    const logs = [...this.#daemons.keys()].map((name) => {
      const lines = readFileSync(join(this.#dir, `${name}.log`), 'utf8')
        .trimEnd()
        .split('\n');
      return [`${name}:`, ...lines.slice(-25)].join('\n');
    });
    const now = [say('sinfo', '--Node', '--long'), say('sinfo', '--list-reasons'), say('squeue', '--array')];
    return [...now, ...logs].join('\n');
  }

  startController(): void {
    this.#spawn('slurmctld', 'slurmctld', ['-D', '-f', this.env.SLURM_CONF!]);
  }

  startNode(node: NodeName): void {
    this.#spawn(node, 'slurmd', ['-D', '-f', this.env.SLURM_CONF!, '-N', node], { [NODE_VARIABLE]: node });
  }

  /** Runs a command of Slurm. @returns what it prints @throws Error if it fails or takes longer than ten seconds */
  run(command: string, ...args: string[]): string {
    const env = { ...process.env, ...this.env };
    return execFileSync(command, args, { env, encoding: 'utf8', timeout: 10_000, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Kills the daemon of a node and all tasks on it. */
  killNode(node: NodeName): void {
    this.#kill([`${NODE_VARIABLE}=${node}`, `SLURMD_NODENAME=${node}`]);
  }

  killController(): void {
    this.#daemons.get('slurmctld')!.kill('SIGKILL');
  }

  /** Kills everything that was started here, and waits for the daemons to end. */
  async stop(): Promise<void> {
    const running = [...this.#daemons.values()].filter(({ exitCode, signalCode }) => exitCode === null && !signalCode);
    const ended = running.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of running) child.kill('SIGKILL');
    // A daemon may just have started a task, so the tasks are killed after it.
    await Promise.all(ended);
    this.#kill([`SLURM_CONF=${this.env.SLURM_CONF}`]);
  }

  /** Kills the processes of this cluster that have one of these variables. */
  #kill(variables: readonly string[]): void {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name) || name === String(process.pid)) continue;
      try {
        const environment = readFileSync(`/proc/${name}/environ`, 'utf8').split('\0');
        const isOwn = environment.includes(`SLURM_CONF=${this.env.SLURM_CONF}`);
        if (isOwn && variables.some((each) => environment.includes(each))) process.kill(Number(name), 'SIGKILL');
      } catch {
        // The process has ended, or belongs to somebody else.
      }
    }
  }

  /** setpriv ends a daemon with the test, whatever ends that. */
  #spawn(name: Daemon, program: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): void {
    const log = openSync(join(this.#dir, `${name}.log`), 'a');
    const env = { ...process.env, ...this.env, ...more };
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { env, stdio: ['ignore', log, log] });
    this.#daemons.set(name, child);
  }
}

/**
 * Ports of this machine on which nothing listens now. They lie below those that systems give to outgoing connections: a node that
 * is started again could not listen on its port while some connection of another program has it.
 */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = 16_000 + randomInt(12_000); ports.length < count; port++) {
    const server = createServer();
    const isFree = await new Promise<boolean>((done) => {
      server.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true));
    });
    if (!isFree) continue;
    await new Promise((done) => server.close(done));
    ports.push(port);
  }
  return ports;
}
