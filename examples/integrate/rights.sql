-- `app` is the account of your application. The role may call Lethe's three functions, and nothing else of Lethe's.
grant lethe_application to app;
