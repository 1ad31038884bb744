drop table workspace_members, organisation_members, workspaces, organisations;
