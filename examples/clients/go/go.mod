module lethe.example/client

go 1.24
