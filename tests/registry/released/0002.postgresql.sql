DO $$ BEGIN CREATE ROLE tailorbird_migrator; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE tailorbird_serving; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE tailorbird_sweep; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE tailorbird_promoter; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE tailorbird_watch; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
CREATE FUNCTION keep_rows() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'rows of % are only added', TG_TABLE_NAME; END $$;
ALTER FUNCTION keep_rows() OWNER TO tailorbird_migrator;
CREATE TABLE alembic_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE alembic_version OWNER TO tailorbird_migrator;
CREATE TABLE aliases (
    model character varying(64) NOT NULL,
    alias character varying(64) NOT NULL,
    number integer NOT NULL
);
ALTER TABLE aliases OWNER TO tailorbird_migrator;
CREATE TABLE deletions (
    model character varying(64) NOT NULL,
    number integer NOT NULL,
    why text NOT NULL,
    who character varying(128) NOT NULL,
    deleted character varying(27) NOT NULL
);
ALTER TABLE deletions OWNER TO tailorbird_migrator;
CREATE TABLE feedback (
    receipt character varying(32) NOT NULL,
    model character varying(64) NOT NULL,
    version integer NOT NULL,
    predicted character varying(256) NOT NULL,
    confidence_bin character varying(8) NOT NULL,
    label character varying(256) NOT NULL,
    predicted_at character varying(27) NOT NULL,
    received character varying(27) NOT NULL
);
ALTER TABLE feedback OWNER TO tailorbird_migrator;
CREATE TABLE holds (
    id integer NOT NULL,
    model character varying(64) NOT NULL,
    held boolean NOT NULL,
    why text NOT NULL,
    who character varying(128) NOT NULL,
    since character varying(27) NOT NULL
);
ALTER TABLE holds OWNER TO tailorbird_migrator;
CREATE SEQUENCE holds_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE holds_id_seq OWNER TO tailorbird_migrator;
ALTER SEQUENCE holds_id_seq OWNED BY holds.id;
CREATE TABLE models (
    name character varying(64) NOT NULL,
    last_number integer NOT NULL,
    created character varying(27) NOT NULL
);
ALTER TABLE models OWNER TO tailorbird_migrator;
CREATE TABLE moves (
    id integer NOT NULL,
    model character varying(64) NOT NULL,
    alias character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    from_number integer,
    to_number integer NOT NULL,
    verdict integer NOT NULL,
    forced boolean NOT NULL,
    why text NOT NULL,
    who character varying(128) NOT NULL,
    moved character varying(27) NOT NULL
);
ALTER TABLE moves OWNER TO tailorbird_migrator;
CREATE SEQUENCE moves_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE moves_id_seq OWNER TO tailorbird_migrator;
ALTER SEQUENCE moves_id_seq OWNED BY moves.id;
CREATE TABLE outbox (
    id integer NOT NULL,
    move integer NOT NULL,
    url text NOT NULL,
    body text NOT NULL,
    created character varying(27) NOT NULL,
    attempts integer NOT NULL,
    next_attempt character varying(27),
    delivered character varying(27),
    problem text
);
ALTER TABLE outbox OWNER TO tailorbird_migrator;
CREATE SEQUENCE outbox_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE outbox_id_seq OWNER TO tailorbird_migrator;
ALTER SEQUENCE outbox_id_seq OWNED BY outbox.id;
CREATE TABLE reports (
    sweep character varying(96) NOT NULL,
    trial integer NOT NULL,
    epoch integer NOT NULL,
    metrics json NOT NULL,
    checkpoint character varying(64),
    reported character varying(27) NOT NULL
);
ALTER TABLE reports OWNER TO tailorbird_migrator;
CREATE TABLE sweeps (
    id character varying(96) NOT NULL,
    spec json NOT NULL,
    status character varying(16) NOT NULL,
    champion integer,
    registered integer,
    problem text,
    who character varying(128) NOT NULL,
    created character varying(27) NOT NULL,
    ended character varying(27)
);
ALTER TABLE sweeps OWNER TO tailorbird_migrator;
CREATE TABLE tags (
    model character varying(64) NOT NULL,
    number integer NOT NULL,
    key character varying(64) NOT NULL,
    value text NOT NULL
);
ALTER TABLE tags OWNER TO tailorbird_migrator;
CREATE TABLE trials (
    sweep character varying(96) NOT NULL,
    number integer NOT NULL,
    config json NOT NULL,
    status character varying(16) NOT NULL,
    problem text
);
ALTER TABLE trials OWNER TO tailorbird_migrator;
CREATE TABLE verdicts (
    id integer NOT NULL,
    model character varying(64) NOT NULL,
    number integer NOT NULL,
    alias character varying(64) NOT NULL,
    holder integer,
    passed boolean NOT NULL,
    split character varying(64),
    policy json NOT NULL,
    gates json NOT NULL,
    who character varying(128) NOT NULL,
    judged character varying(27) NOT NULL
);
ALTER TABLE verdicts OWNER TO tailorbird_migrator;
CREATE SEQUENCE verdicts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE verdicts_id_seq OWNER TO tailorbird_migrator;
ALTER SEQUENCE verdicts_id_seq OWNED BY verdicts.id;
CREATE TABLE versions (
    model character varying(64) NOT NULL,
    number integer NOT NULL,
    manifest character varying(64) NOT NULL,
    evidence json NOT NULL,
    lineage json NOT NULL,
    who character varying(128) NOT NULL,
    created character varying(27) NOT NULL,
    signature character varying(88)
);
ALTER TABLE versions OWNER TO tailorbird_migrator;
ALTER TABLE ONLY holds ALTER COLUMN id SET DEFAULT nextval('holds_id_seq'::regclass);
ALTER TABLE ONLY moves ALTER COLUMN id SET DEFAULT nextval('moves_id_seq'::regclass);
ALTER TABLE ONLY outbox ALTER COLUMN id SET DEFAULT nextval('outbox_id_seq'::regclass);
ALTER TABLE ONLY verdicts ALTER COLUMN id SET DEFAULT nextval('verdicts_id_seq'::regclass);
INSERT INTO alembic_version VALUES ('0002');
INSERT INTO aliases VALUES ('fashion', 'champion', 2);
INSERT INTO aliases VALUES ('fashion', 'challenger', 2);
INSERT INTO aliases VALUES ('letters', 'staging.eu-1', 1);
INSERT INTO deletions VALUES ('unused', 2, 'it''s not needed', 'ada', '2026-04-02T10:01:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000000', 'fashion', 2, 'cat', '0.9', 'cat', '2026-03-01T15:09:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000001', 'fashion', 2, 'cat', '0.9', 'dog', '2026-03-01T15:16:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000002', 'fashion', 2, 'cat', '0.9', 'dog', '2026-03-01T15:23:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000003', 'fashion', 2, 'cat', '0.9', 'cat', '2026-03-01T15:30:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000004', 'fashion', 2, 'cat', '0.9', 'dog', '2026-03-01T15:37:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO holds VALUES (1, 'letters', true, 'audit', 'Grace Höpper', '2026-04-02T10:02:00.001234Z');
INSERT INTO holds VALUES (2, 'letters', false, 'done', 'ada', '2026-04-02T10:03:00.001234Z');
INSERT INTO models VALUES ('fashion', 3, '2026-03-01T13:03:00.001234Z');
INSERT INTO models VALUES ('letters', 1, '2026-03-01T14:13:00.001234Z');
INSERT INTO models VALUES ('unused', 2, '2026-03-01T14:34:00.001234Z');
INSERT INTO moves VALUES (1, 'fashion', 'champion', 'promote', NULL, 1, 1, false, 'the first one', 'ada', '2026-03-01T13:10:00.001234Z');
INSERT INTO moves VALUES (2, 'fashion', 'champion', 'promote', 1, 2, 2, false, 'it''s better; 100%', 'Grace Höpper', '2026-03-01T13:31:00.001234Z');
INSERT INTO moves VALUES (3, 'fashion', 'challenger', 'promote', NULL, 2, 3, false, 'shadow it', 'ada', '2026-03-01T13:38:00.001234Z');
INSERT INTO moves VALUES (5, 'fashion', 'champion', 'promote', 2, 3, 4, true, 'I know: what I do
and why', 'ada', '2026-03-01T13:52:00.001234Z');
INSERT INTO moves VALUES (8, 'fashion', 'champion', 'promote', 3, 2, 5, false, 'back again', 'watch', '2026-03-01T13:59:00.001234Z');
INSERT INTO moves VALUES (13, 'letters', 'staging.eu-1', 'promote', NULL, 1, 6, false, '字', 'uid 1000', '2026-03-01T14:20:00.001234Z');
INSERT INTO outbox VALUES (1, 13, 'https://example.org/hook', '{"event": "alias.moved", "move": {"id": 6}}', '2026-04-02T10:05:00.001234Z', 12, NULL, NULL, 'given up after 12 attempts: it cannot be reached');
INSERT INTO reports VALUES ('fashion-1', 1, 1, '{"val_loss": 0.5, "val_accuracy": 0.1}', '1111111111111111111111111111111111111111111111111111111111111111', '2026-03-01T12:07:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 1, 2, '{"val_loss": 0.3333333333333333, "val_accuracy": 0.2}', NULL, '2026-03-01T12:14:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 2, 1, '{"val_loss": 0.3333333333333333, "val_accuracy": 0.1}', NULL, '2026-03-01T12:21:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 2, 2, '{"val_loss": 0.25, "val_accuracy": 0.2}', '2222222222222222222222222222222222222222222222222222222222222222', '2026-03-01T12:28:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 3, 1, '{"val_loss": 0.25, "val_accuracy": 0.1}', NULL, '2026-03-01T12:35:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 3, 2, '{"val_loss": 0.2, "val_accuracy": 0.2}', NULL, '2026-03-01T12:42:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 3, 3, '{"val_loss": null, "train_loss": null, "lr": 5e-324}', NULL, '2026-03-01T12:49:00.001234Z');
INSERT INTO reports VALUES ('letters-3', 1, 1, '{"val_loss": 0.5}', 'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd', '2026-03-01T15:02:00.001234Z');
INSERT INTO sweeps VALUES ('fashion-1', '{"name": "fashion", "space": {"optimizer.lr": {"loguniform": [0.0001, 0.1]}}}', 'finished', NULL, 1, NULL, 'ada', '2026-03-01T12:00:00.001234Z', '2026-03-01T13:17:00.001234Z');
INSERT INTO sweeps VALUES ('letters-2', '{"name": "letters"}', 'failed', 1, NULL, 'no memory', 'uid 1000', '2026-03-01T14:41:00.001234Z', '2026-03-01T14:48:00.001234Z');
INSERT INTO sweeps VALUES ('letters-3', '{"name": "letters"}', 'running', 1, NULL, NULL, 'uid 1000', '2026-03-01T14:55:00.001234Z', NULL);
INSERT INTO tags VALUES ('fashion', 2, 'camera', 'north; 100%');
INSERT INTO trials VALUES ('fashion-1', 1, '{"lr": 0.1}', 'finished', NULL);
INSERT INTO trials VALUES ('fashion-1', 2, '{"lr": 0.01}', 'stopped', NULL);
INSERT INTO trials VALUES ('fashion-1', 3, '{"lr": 0.30000000000000004}', 'failed', 'the loss is not a number;
''nan'' "quoted"');
INSERT INTO trials VALUES ('fashion-1', 4, '{"lr": 1}', 'pending', NULL);
INSERT INTO trials VALUES ('letters-2', 1, '{}', 'interrupted', NULL);
INSERT INTO trials VALUES ('letters-3', 1, '{}', 'running', NULL);
INSERT INTO trials VALUES ('letters-3', 2, '{}', 'pending', NULL);
INSERT INTO verdicts VALUES (1, 'fashion', 1, 'champion', NULL, true, NULL, '{}', '[]', 'ada', '2026-03-01T13:10:00.001234Z');
INSERT INTO verdicts VALUES (2, 'fashion', 2, 'champion', 1, true, NULL, '{}', '[]', 'Grace Höpper', '2026-03-01T13:31:00.001234Z');
INSERT INTO verdicts VALUES (3, 'fashion', 2, 'challenger', NULL, true, NULL, '{}', '[]', 'ada', '2026-03-01T13:38:00.001234Z');
INSERT INTO verdicts VALUES (4, 'fashion', 3, 'champion', 2, false, NULL, '{}', '[{"name": "unnamed", "passed": false, "message": "the export agrees with torch on 50.000% of labels, at least 99.9% needed", "measured": {}, "allowed": {}}, {"name": "unnamed", "passed": false, "message": "held-out accuracy 20.00% is 40.00 points under the champion''s 60.00%", "measured": {}, "allowed": {}}]', 'ada', '2026-03-01T13:52:00.001234Z');
INSERT INTO verdicts VALUES (5, 'fashion', 2, 'champion', 3, true, NULL, '{}', '[]', 'watch', '2026-03-01T13:59:00.001234Z');
INSERT INTO verdicts VALUES (6, 'letters', 1, 'staging.eu-1', NULL, true, NULL, '{}', '[]', 'uid 1000', '2026-03-01T14:20:00.001234Z');
INSERT INTO verdicts VALUES (7, 'fashion', 1, 'champion', 2, false, 'abababababababababababababababababababababababababababababababab', '{"parity": {"agreement": 0.999}}', '[{"name": "champion", "passed": false, "message": "it is worse", "measured": {"judged_before": 1}, "allowed": {}}]', 'ada', '2026-04-02T10:04:00.001234Z');
INSERT INTO versions VALUES ('fashion', 1, 'e6ab4411f281d2761be614db8a0520648b46471f4a6d38c0ca7f45c016a6c391', '{"accuracy": 0.5, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'ada', '2026-03-01T12:56:00.001234Z', NULL);
INSERT INTO versions VALUES ('fashion', 2, 'cd65638b1b88f542a879ee065de9d510ed665cdc03bbcce7a9cb90fc4d307a7d', '{"accuracy": 0.6, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 1, "epoch": 2, "data": {"name": "fashion_mnist", "sha256": "abababababababababababababababababababababababababababababababab"}, "champion": 1}', 'ada', '2026-03-01T13:24:00.001234Z', NULL);
INSERT INTO versions VALUES ('fashion', 3, '5b595e2fe00faa6de2e4f12603fd63c69d530737a8b020c74ee0f5309505b159', '{"accuracy": 0.2, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 0.5, "max_difference": 0.25, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'ada', '2026-03-01T13:45:00.001234Z', NULL);
INSERT INTO versions VALUES ('letters', 1, '6c6f18e1787448d7abb9361f18c28dc954379d739eea4dc64f97541945f89405', '{"accuracy": 0.9, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'uid 1000', '2026-03-01T14:06:00.001234Z', NULL);
INSERT INTO versions VALUES ('unused', 1, '674ca278530fd6a9a418f3de02da8b219103d2ce827959aff87649c914bdfe11', '{"accuracy": 0.9, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'ada', '2026-03-01T14:27:00.001234Z', NULL);
INSERT INTO versions VALUES ('unused', 2, '674ca278530fd6a9a418f3de02da8b219103d2ce827959aff87649c914bdfe11', '{"accuracy": 0.9, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'ada', '2026-04-02T10:00:00.001234Z', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==');
SELECT pg_catalog.setval('holds_id_seq', 2, true);
SELECT pg_catalog.setval('moves_id_seq', 13, true);
SELECT pg_catalog.setval('outbox_id_seq', 1, true);
SELECT pg_catalog.setval('verdicts_id_seq', 7, true);
ALTER TABLE ONLY alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY aliases
    ADD CONSTRAINT pk_aliases PRIMARY KEY (model, alias);
ALTER TABLE ONLY deletions
    ADD CONSTRAINT pk_deletions PRIMARY KEY (model, number);
ALTER TABLE ONLY feedback
    ADD CONSTRAINT pk_feedback PRIMARY KEY (receipt);
ALTER TABLE ONLY holds
    ADD CONSTRAINT pk_holds PRIMARY KEY (id);
ALTER TABLE ONLY models
    ADD CONSTRAINT pk_models PRIMARY KEY (name);
ALTER TABLE ONLY moves
    ADD CONSTRAINT pk_moves PRIMARY KEY (id);
ALTER TABLE ONLY outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (id);
ALTER TABLE ONLY reports
    ADD CONSTRAINT pk_reports PRIMARY KEY (sweep, trial, epoch);
ALTER TABLE ONLY sweeps
    ADD CONSTRAINT pk_sweeps PRIMARY KEY (id);
ALTER TABLE ONLY tags
    ADD CONSTRAINT pk_tags PRIMARY KEY (model, number, key);
ALTER TABLE ONLY trials
    ADD CONSTRAINT pk_trials PRIMARY KEY (sweep, number);
ALTER TABLE ONLY verdicts
    ADD CONSTRAINT pk_verdicts PRIMARY KEY (id);
ALTER TABLE ONLY versions
    ADD CONSTRAINT pk_versions PRIMARY KEY (model, number);
CREATE INDEX ix_feedback_model_version_received ON feedback USING btree (model, version, received);
CREATE INDEX ix_holds_model_id ON holds USING btree (model, id);
CREATE INDEX ix_moves_model_id ON moves USING btree (model, id);
CREATE INDEX ix_outbox_next_attempt ON outbox USING btree (next_attempt);
CREATE INDEX ix_sweeps_created ON sweeps USING btree (created);
CREATE INDEX ix_verdicts_model_number ON verdicts USING btree (model, number);
CREATE INDEX ix_verdicts_split ON verdicts USING btree (split);
CREATE INDEX ix_versions_created_model_number ON versions USING btree (created, model, number);
CREATE TRIGGER keep_deletions BEFORE DELETE OR UPDATE OR TRUNCATE ON deletions FOR EACH STATEMENT EXECUTE FUNCTION keep_rows();
CREATE TRIGGER keep_holds BEFORE DELETE OR UPDATE OR TRUNCATE ON holds FOR EACH STATEMENT EXECUTE FUNCTION keep_rows();
CREATE TRIGGER keep_moves BEFORE DELETE OR UPDATE OR TRUNCATE ON moves FOR EACH STATEMENT EXECUTE FUNCTION keep_rows();
CREATE TRIGGER keep_verdicts BEFORE DELETE OR UPDATE OR TRUNCATE ON verdicts FOR EACH STATEMENT EXECUTE FUNCTION keep_rows();
CREATE TRIGGER keep_versions BEFORE DELETE OR UPDATE OR TRUNCATE ON versions FOR EACH STATEMENT EXECUTE FUNCTION keep_rows();
ALTER TABLE ONLY aliases
    ADD CONSTRAINT fk_aliases_model_number FOREIGN KEY (model, number) REFERENCES versions(model, number);
ALTER TABLE ONLY deletions
    ADD CONSTRAINT fk_deletions_model_number FOREIGN KEY (model, number) REFERENCES versions(model, number);
ALTER TABLE ONLY holds
    ADD CONSTRAINT fk_holds_model FOREIGN KEY (model) REFERENCES models(name);
ALTER TABLE ONLY moves
    ADD CONSTRAINT fk_moves_model_to_number FOREIGN KEY (model, to_number) REFERENCES versions(model, number);
ALTER TABLE ONLY moves
    ADD CONSTRAINT fk_moves_verdict FOREIGN KEY (verdict) REFERENCES verdicts(id);
ALTER TABLE ONLY outbox
    ADD CONSTRAINT fk_outbox_move FOREIGN KEY (move) REFERENCES moves(id);
ALTER TABLE ONLY reports
    ADD CONSTRAINT fk_reports_sweep_trial FOREIGN KEY (sweep, trial) REFERENCES trials(sweep, number);
ALTER TABLE ONLY tags
    ADD CONSTRAINT fk_tags_model_number FOREIGN KEY (model, number) REFERENCES versions(model, number);
ALTER TABLE ONLY trials
    ADD CONSTRAINT fk_trials_sweep FOREIGN KEY (sweep) REFERENCES sweeps(id);
ALTER TABLE ONLY verdicts
    ADD CONSTRAINT fk_verdicts_model_number FOREIGN KEY (model, number) REFERENCES versions(model, number);
ALTER TABLE ONLY versions
    ADD CONSTRAINT fk_versions_model FOREIGN KEY (model) REFERENCES models(name);
GRANT ALL ON SCHEMA public TO tailorbird_migrator;
GRANT USAGE ON SCHEMA public TO tailorbird_serving;
GRANT USAGE ON SCHEMA public TO tailorbird_sweep;
GRANT USAGE ON SCHEMA public TO tailorbird_promoter;
GRANT USAGE ON SCHEMA public TO tailorbird_watch;
GRANT SELECT ON TABLE alembic_version TO tailorbird_serving;
GRANT SELECT ON TABLE alembic_version TO tailorbird_sweep;
GRANT SELECT ON TABLE alembic_version TO tailorbird_promoter;
GRANT SELECT ON TABLE alembic_version TO tailorbird_watch;
GRANT SELECT ON TABLE aliases TO tailorbird_serving;
GRANT SELECT ON TABLE aliases TO tailorbird_sweep;
GRANT SELECT,INSERT ON TABLE aliases TO tailorbird_promoter;
GRANT SELECT,INSERT ON TABLE aliases TO tailorbird_watch;
GRANT UPDATE(number) ON TABLE aliases TO tailorbird_promoter;
GRANT UPDATE(number) ON TABLE aliases TO tailorbird_watch;
GRANT SELECT ON TABLE deletions TO tailorbird_serving;
GRANT SELECT ON TABLE deletions TO tailorbird_sweep;
GRANT SELECT,INSERT ON TABLE deletions TO tailorbird_promoter;
GRANT SELECT ON TABLE deletions TO tailorbird_watch;
GRANT SELECT,INSERT ON TABLE feedback TO tailorbird_serving;
GRANT SELECT ON TABLE feedback TO tailorbird_sweep;
GRANT SELECT ON TABLE feedback TO tailorbird_promoter;
GRANT SELECT ON TABLE feedback TO tailorbird_watch;
GRANT SELECT ON TABLE holds TO tailorbird_serving;
GRANT SELECT ON TABLE holds TO tailorbird_sweep;
GRANT SELECT,INSERT ON TABLE holds TO tailorbird_promoter;
GRANT SELECT ON TABLE holds TO tailorbird_watch;
GRANT USAGE ON SEQUENCE holds_id_seq TO tailorbird_promoter;
GRANT SELECT ON TABLE models TO tailorbird_serving;
GRANT SELECT,INSERT ON TABLE models TO tailorbird_sweep;
GRANT SELECT ON TABLE models TO tailorbird_promoter;
GRANT SELECT ON TABLE models TO tailorbird_watch;
GRANT UPDATE(last_number) ON TABLE models TO tailorbird_sweep;
GRANT SELECT ON TABLE moves TO tailorbird_serving;
GRANT SELECT ON TABLE moves TO tailorbird_sweep;
GRANT SELECT,INSERT ON TABLE moves TO tailorbird_promoter;
GRANT SELECT,INSERT ON TABLE moves TO tailorbird_watch;
GRANT USAGE ON SEQUENCE moves_id_seq TO tailorbird_promoter;
GRANT USAGE ON SEQUENCE moves_id_seq TO tailorbird_watch;
GRANT SELECT,INSERT ON TABLE outbox TO tailorbird_promoter;
GRANT SELECT,INSERT ON TABLE outbox TO tailorbird_watch;
GRANT UPDATE(attempts) ON TABLE outbox TO tailorbird_promoter;
GRANT UPDATE(attempts) ON TABLE outbox TO tailorbird_watch;
GRANT UPDATE(next_attempt) ON TABLE outbox TO tailorbird_promoter;
GRANT UPDATE(next_attempt) ON TABLE outbox TO tailorbird_watch;
GRANT UPDATE(delivered) ON TABLE outbox TO tailorbird_promoter;
GRANT UPDATE(delivered) ON TABLE outbox TO tailorbird_watch;
GRANT UPDATE(problem) ON TABLE outbox TO tailorbird_promoter;
GRANT UPDATE(problem) ON TABLE outbox TO tailorbird_watch;
GRANT USAGE ON SEQUENCE outbox_id_seq TO tailorbird_promoter;
GRANT USAGE ON SEQUENCE outbox_id_seq TO tailorbird_watch;
GRANT SELECT,INSERT ON TABLE reports TO tailorbird_sweep;
GRANT SELECT ON TABLE reports TO tailorbird_promoter;
GRANT SELECT ON TABLE reports TO tailorbird_watch;
GRANT SELECT,INSERT,UPDATE ON TABLE sweeps TO tailorbird_sweep;
GRANT SELECT ON TABLE sweeps TO tailorbird_promoter;
GRANT SELECT ON TABLE sweeps TO tailorbird_watch;
GRANT SELECT ON TABLE tags TO tailorbird_serving;
GRANT SELECT ON TABLE tags TO tailorbird_sweep;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tags TO tailorbird_promoter;
GRANT SELECT ON TABLE tags TO tailorbird_watch;
GRANT SELECT,INSERT,UPDATE ON TABLE trials TO tailorbird_sweep;
GRANT SELECT ON TABLE trials TO tailorbird_promoter;
GRANT SELECT ON TABLE trials TO tailorbird_watch;
GRANT SELECT ON TABLE verdicts TO tailorbird_serving;
GRANT SELECT ON TABLE verdicts TO tailorbird_sweep;
GRANT SELECT,INSERT ON TABLE verdicts TO tailorbird_promoter;
GRANT SELECT,INSERT ON TABLE verdicts TO tailorbird_watch;
GRANT USAGE ON SEQUENCE verdicts_id_seq TO tailorbird_promoter;
GRANT USAGE ON SEQUENCE verdicts_id_seq TO tailorbird_watch;
GRANT SELECT ON TABLE versions TO tailorbird_serving;
GRANT SELECT,INSERT ON TABLE versions TO tailorbird_sweep;
GRANT SELECT ON TABLE versions TO tailorbird_promoter;
GRANT SELECT ON TABLE versions TO tailorbird_watch;
