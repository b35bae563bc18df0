/** What is shown of one session: how it is, what happened to it, and what it wrote. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useRef, useState } from 'react';

import { isEnding } from '../states';
import type { IHistoryNote, ISession } from '../tokens';
import { details, endReason, sayError, statusWord } from '../words';
import type { DetailsSource } from './source';

interface IProps {
  readonly source: DetailsSource;
  readonly trans: TranslationBundle;
}

/** The page, as far as it is known. */
export function Page({ source, trans }: IProps): JSX.Element {
  const { session, log, error, isReady } = source;
  return (
    <div className="jp-sessmgr-page">
      {error !== null && (
        <p className="jp-sessmgr-trouble" role="alert">
          {sayError(error, trans)}
        </p>
      )}
      {session !== null && <About session={session} trans={trans} />}
      {session === null && isReady && (
        <p>{trans.__('There is no such session any more: the server has forgotten it.')}</p>
      )}
      <Log name={session?.name ?? source.id} log={log} trans={trans} />
    </div>
  );
}

function About(props: { session: ISession; trans: TranslationBundle }): JSX.Element {
  const { session, trans } = props;
  const word = statusWord(session, trans);
  return (
    <section>
      <h2>{session.name}</h2>
      <p>{[word, details(session, trans, Date.now())].filter(Boolean).join(': ')}</p>
      <dl className="jp-sessmgr-facts">
        <dt>{trans.__('Id')}</dt>
        <dd>{session.id}</dd>
        <dt>{trans.__('Image')}</dt>
        <dd>{session.image}</dd>
        {session.kernelDeath !== '' && (
          <>
            <dt>{trans.__('Last kernel death')}</dt>
            <dd>{session.kernelDeath}</dd>
          </>
        )}
      </dl>
      <History session={session} trans={trans} />
    </section>
  );
}

function History({ session, trans }: { session: ISession; trans: TranslationBundle }): JSX.Element {
  return (
    <table className="jp-sessmgr-history">
      <caption>{trans.__('History')}</caption>
      <thead>
        <tr>
          <th scope="col">{trans.__('When')}</th>
          <th scope="col">{trans.__('What')}</th>
          <th scope="col">{trans.__('Why')}</th>
        </tr>
      </thead>
      <tbody>
        {session.history.map((note, index) => (
          <tr key={index}>
            <td>{time(note)}</td>
            <td>{statusWord({ ...session, status: note.status }, trans)}</td>
            <td>{why(note, session, trans)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Why a session came to a status; of its end, who or what ended it. */
function why(note: IHistoryNote, session: ISession, trans: TranslationBundle): string {
  return isEnding(note) && isEnding(session) ? endReason(session, trans) : note.info;
}

function time(note: IHistoryNote): string {
  const at = new Date(note.at);
  return Number.isNaN(at.getTime()) ? '' : at.toLocaleString();
}

function Log(props: { name: string; log: string; trans: TranslationBundle }): JSX.Element {
  const { name, log, trans } = props;
  const [filter, setFilter] = useState('');
  const wanted = filter.toLowerCase();
  const all = log === '' ? [] : log.replace(/\n$/, '').split('\n');
  const lines = all.filter(line => line.toLowerCase().includes(wanted));
  return (
    <section>
      <div className="jp-sessmgr-bar">
        <h3>{trans.__('Log')}</h3>
        <input
          type="search"
          className="jp-mod-styled"
          placeholder={trans.__('Search')}
          aria-label={trans.__('Search the log')}
          value={filter}
          onChange={event => setFilter(event.target.value)}
        />
        <span role="status">
          {log === '' && trans.__('It has written nothing.')}
          {log !== '' && filter !== '' && trans.__('%1 of %2 lines', lines.length, all.length)}
        </span>
        <button className="jp-mod-styled" onClick={() => download(`${name}.log`, log)}>
          {trans.__('Download')}
        </button>
      </div>
      <Lines text={lines.join('\n')} label={trans.__('Log')} />
    </section>
  );
}

/** Lines that stay at their end when more come, unless somebody scrolled away from it. */
function Lines({ text, label }: { text: string; label: string }): JSX.Element {
  const box = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (box.current !== null && isAtEnd.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [text]);
  return (
    <pre
      className="jp-sessmgr-log"
      ref={box}
      tabIndex={0}
      role="log"
      aria-live="off" // all of it would be read again with each line
      aria-label={label}
      onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) => {
        isAtEnd.current = scrollTop + clientHeight >= scrollHeight - 4;
      }}
    >
      {text}
    </pre>
  );
}

function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
